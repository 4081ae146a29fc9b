"""The jobs of the chaos test, and what bears witness of them."""
