"""The compiler as something we drive: provision it, plan its commands, run them, read what they leave."""
