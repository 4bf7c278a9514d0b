//! `open_enum!`: a closed list of words that keeps the words it does not know.

/// Makes an enum that is a string on the wire and has `Other(raw)` for what a later version says.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "std::borrow::Cow<'_, str>", into = "String")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A word this version does not know, kept as it came.
            Other(Box<str>),
        }

        impl $name {
            /// Every word this version knows.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(raw) => raw,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    raw => Self::Other(raw.into()),
                }
            }
        }

        impl From<std::borrow::Cow<'_, str>> for $name {
            fn from(word: std::borrow::Cow<'_, str>) -> Self {
                Self::from(word.as_ref())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": "Open list: readers keep values they do not know.",
                    "examples": Self::WORDS,
                })
            }
        }
    };
}
pub(crate) use open_enum;
