//! End to end: the real binary, real brokers and stores, fake providers. One module per topic.

#![expect(unreachable_pub, reason = "nobody is outside of a test binary")]

mod browser;
mod chat;
mod cli;
mod crash;
mod harness;
mod hostile;
mod layering;
mod metrics;
mod mqtt;
mod wechat;
mod wecom_kf;
