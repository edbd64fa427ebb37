"""What notebooks 02 to 04 teach with: exercises that check themselves, tiny trainings and their pictures."""
