//! The client of the bus, for our daemon and the original: async and blocking.
