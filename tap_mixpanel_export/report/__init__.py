"""What a run did: a document for programs, and one page over the last runs for people."""
