"""What runs may take and what they cost: cores, memory, disk, time and energy."""
