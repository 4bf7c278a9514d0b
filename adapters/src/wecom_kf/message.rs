//! What a customer says, by `msgtype`.
//!
//! <https://developer.work.weixin.qq.com/document/path/94670>

use patchbay_message::{Attributes, Choice, Location, Media, Part};
use serde::Deserialize;
use serde_json::Value;

use super::page::unsupported;

/// Every field that a known `msgtype` has; each has some of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
    menu_id: Option<String>,
    media_id: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    name: Option<String>,
    address: Option<String>,
    title: Option<String>,
    desc: Option<String>,
    url: Option<String>,
    pic_url: Option<String>,
    appid: Option<String>,
    pagepath: Option<String>,
    thumb_media_id: Option<String>,
    userid: Option<String>,
    nickname: Option<String>,
    sub_type: Option<Value>,
    product_id: Option<String>,
    head_img: Option<String>,
    sales_price: Option<String>,
    shop_nickname: Option<String>,
    order_id: Option<String>,
    product_titles: Option<String>,
    price_wording: Option<String>,
    state: Option<String>,
    image_url: Option<String>,
}

/// The part that a message of this type is.
pub(super) fn read(kind: &str, raw: Option<&Value>) -> Part {
    let raw = raw.unwrap_or(&Value::Null);
    let said = Said::deserialize(raw).unwrap_or_default();
    said.part(kind).unwrap_or_else(|| unsupported(kind, raw))
}

impl Said {
    fn part(self, kind: &str) -> Option<Part> {
        match kind {
            "text" => self.text(),
            "image" => {
                let (media, extra) = self.media("image/jpeg")?;
                Some(Part::Image { media, extra })
            }
            "voice" => {
                let (media, extra) = self.media("audio/amr")?;
                Some(Part::Audio {
                    media,
                    transcript: None,
                    extra,
                })
            }
            "video" => {
                let (media, extra) = self.media("video/mp4")?;
                Some(Part::Video { media, extra })
            }
            "file" => {
                let (media, extra) = self.media("application/octet-stream")?;
                Some(Part::File { media, extra })
            }
            "location" => self.location(),
            "business_card" => self.business_card(),
            "link"
            | "miniprogram"
            | "channels"
            | "channels_shop_product"
            | "channels_shop_order" => self.card(),
            _ => None,
        }
    }

    /// A text, or what was chosen of a menu.
    fn text(self) -> Option<Part> {
        let text = self.content?;
        Some(match self.menu_id.filter(|id| !id.is_empty()) {
            None => Part::Text {
                text,
                extra: Attributes::new(),
            },
            Some(id) => Part::Choice {
                text: None,
                options: vec![Choice {
                    id: id.clone(),
                    label: text,
                }],
                chosen: Some(id),
                extra: Attributes::new(),
            },
        })
    }

    /// What WeCom keeps for three days. Its type and size are known once it is fetched.
    fn media(&self, mime: &str) -> Option<(Media, Attributes)> {
        let id = self.media_id.as_ref()?;
        let media = Media {
            url: format!("provider:{id}"),
            mime: mime.to_owned(),
            size: 0,
            name: None,
            caption: None,
            width: None,
            height: None,
        };
        // To send it on as it is, while WeCom has it.
        let extra = Attributes::from_iter([("media_id".to_owned(), id.as_str().into())]);
        Some((media, extra))
    }

    fn location(self) -> Option<Part> {
        let (lat, lon) = (self.latitude?, self.longitude?);
        let is_place = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        let label = [self.name, self.address].into_iter().flatten();
        let label: Vec<String> = label.filter(|text| !text.is_empty()).collect();
        is_place.then(|| Part::Location {
            location: Location { lat, lon },
            label: (!label.is_empty()).then(|| label.join(", ")),
            extra: Attributes::new(),
        })
    }

    /// A member of the enterprise.
    fn business_card(self) -> Option<Part> {
        let userid = self.userid?;
        let extra = Attributes::from_iter([("userid".to_owned(), userid.as_str().into())]);
        Some(Part::Contact {
            name: userid,
            addresses: Vec::new(),
            extra,
        })
    }

    /// A link, a page of a mini-program, or something of a Channels account or its shop.
    fn card(self) -> Option<Part> {
        let named = [
            ("app_id", self.appid),
            ("page_path", self.pagepath),
            ("thumb_media_id", self.thumb_media_id),
            ("product_id", self.product_id),
            ("sales_price", self.sales_price),
            ("shop_nickname", self.shop_nickname.clone()),
            ("order_id", self.order_id),
            ("state", self.state),
        ];
        let named = named.into_iter();
        let mut extra: Attributes = named
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
            .collect();
        extra.extend(self.sub_type.map(|kind| ("sub_type".to_owned(), kind)));
        let title = [
            self.title,
            self.product_titles,
            self.nickname,
            self.shop_nickname,
        ];
        Some(Part::Card {
            title: title.into_iter().flatten().find(|text| !text.is_empty())?,
            text: self.desc.or(self.price_wording),
            url: self.url,
            image: self.pic_url.or(self.head_img).or(self.image_url),
            extra,
        })
    }
}
