package dev.portcullis.guard;

/** What a guard says of a request: an {@link Identity} lets it through, a {@link Refusal} does not. */
public sealed interface Decision permits Identity, Refusal {}
