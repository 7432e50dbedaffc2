"""What every implementation of a seam must do, tested once over all of them."""
