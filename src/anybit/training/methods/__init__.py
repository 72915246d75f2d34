"""The methods that learn codes with a network, one file or folder each."""
