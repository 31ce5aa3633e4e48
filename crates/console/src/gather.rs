//! Gathering the view from the parts below: the one place that knows their types.
