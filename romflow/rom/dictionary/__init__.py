"""Local reduced models and the recommender that chooses between them."""
