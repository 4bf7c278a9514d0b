//! The list of adapters: one file each, one line here.

pub mod mqtt;
pub mod webchat;
pub mod wechat;
pub mod wecom;
pub mod wecom_kf;

use patchbay_sdk::Kind;

/// Every kind of channel that is built in.
pub const ALL: &[Kind] = &[
    Kind::of::<webchat::WebChat>(),
    Kind::of::<mqtt::Mqtt>(),
    Kind::of::<wechat::WeChat>(),
    Kind::of::<wecom::WeCom>(),
    Kind::of::<wecom_kf::WeComKf>(),
];
