"""What clients/conformance/run is made of: real servers, the apps of all languages, and the table that both must hold to."""
