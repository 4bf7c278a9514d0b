//! End to end: the real binary, real brokers and stores, fake providers. One module per topic.

mod layering;
