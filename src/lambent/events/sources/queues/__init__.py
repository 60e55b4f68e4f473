"""Sources whose records are taken one by one and come again when nobody removes them."""
