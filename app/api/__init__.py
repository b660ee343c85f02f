"""One edge: GraphQL and HTTP, and nothing else that speaks them."""
