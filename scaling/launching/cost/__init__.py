"""What a study costs before it is trained: seconds, device-hours and money, and what each rests on."""
