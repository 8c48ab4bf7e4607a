"""The ground floor: what every slice stands on and nothing about cases."""
