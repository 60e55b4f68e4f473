"""Document databases (Amazon DocumentDB, and whatever speaks MongoDB's protocol): change streams."""
