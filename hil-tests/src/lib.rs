//! hardline on real adapters: the tests are in `tests/`, the wiring in `README.md`.
