//! Fake providers: real servers on loopback that behave as strictly as the real ones, written from the
//! providers' documentation and from none of our code. Behind the feature `fakes`.

pub mod wechat;
pub mod wecom;
