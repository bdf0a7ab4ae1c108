//! [`config!`](crate::config!) and ready types for configurations.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Declares the types of a handler's configuration: one or more structs and enums.
///
/// Each gets `Clone`, `Debug`, `Deserialize` and `JsonSchema`; unknown keys are refused. serde's and
/// schemars' attributes work as usual, and doc comments become descriptions in the schema.
///
/// ```
/// use certdock_plugin_api::{HumanDuration, SecretRef, config};
///
/// config! {
///     /// The `[handlers.NAME.config]` table.
///     pub struct Config {
///         /// Where the CA answers.
///         pub url: String,
///         /// The password of the account, `{ file = "PATH" }` for example.
///         pub password: SecretRef,
///         /// How long certificates are good for.
///         #[serde(default = "ninety_days")]
///         pub validity: HumanDuration,
///         /// What to do with names that the CA does not know.
///         #[serde(default)]
///         pub unknown_names: UnknownNames,
///     }
///
///     /// What to do with names that the CA does not know.
///     #[derive(Default, PartialEq)]
///     #[serde(rename_all = "kebab-case")]
///     pub enum UnknownNames {
///         /// Refuse them.
///         #[default]
///         Refuse,
///         /// Ask an operator of the CA.
///         AskOperator,
///     }
/// }
///
/// fn ninety_days() -> HumanDuration {
///     HumanDuration::from_days(90)
/// }
/// ```
///
/// The dependency must be called `certdock-plugin-api`, its own name.
#[macro_export]
macro_rules! config {
    ($($(#[$attribute:meta])* $visibility:vis $kind:ident $name:ident { $($body:tt)* })+) => {
        $(
            #[derive(
                ::core::clone::Clone,
                ::core::fmt::Debug,
                $crate::serde::Deserialize,
                $crate::schemars::JsonSchema,
            )]
            #[serde(crate = "::certdock_plugin_api::serde", deny_unknown_fields)]
            #[schemars(crate = "::certdock_plugin_api::schemars")]
            $(#[$attribute])*
            $visibility $kind $name { $($body)* }
        )+
    };
}

/// A span of time as people write it: a whole number and a unit, `"30s"`, `"5m"`, `"12h"`, `"90d"`.
/// Several may follow each other: `"1h30m"`.
///
/// ```
/// use certdock_plugin_api::HumanDuration;
///
/// let deadline: HumanDuration = "1m30s".parse().unwrap();
/// assert_eq!(deadline.get().as_secs(), 90);
/// assert!("soon".parse::<HumanDuration>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// From a number of whole days of 86 400 seconds.
    #[must_use]
    pub const fn from_days(days: u32) -> Self {
        Self(Duration::from_secs(days as u64 * 86_400))
    }

    /// From a number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

/// A text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADuration;

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration: write a whole number with its unit, such as 30s, 5m, 12h, 90d")
    }
}

impl std::error::Error for NotADuration {}

impl FromStr for HumanDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut total = None;
        let mut number: Option<u64> = None;
        for letter in text.chars() {
            if let Some(digit) = letter.to_digit(10) {
                let sofar = number.unwrap_or(0).checked_mul(10).ok_or(NotADuration)?;
                number = Some(sofar.checked_add(digit.into()).ok_or(NotADuration)?);
                continue;
            }
            let unit: u64 = match letter {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                _ => return Err(NotADuration),
            };
            let part = number
                .take()
                .and_then(|n| n.checked_mul(unit))
                .ok_or(NotADuration)?;
            total = Some(
                total
                    .unwrap_or(0_u64)
                    .checked_add(part)
                    .ok_or(NotADuration)?,
            );
        }
        match (total, number) {
            (Some(seconds), None) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(NotADuration),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        for (unit, letter) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
            if seconds != 0 && seconds.is_multiple_of(unit) {
                return write!(f, "{}{letter}", seconds / unit);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+[smhd])+$",
            "examples": ["30s", "5m", "12h", "90d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("12h", Some(43_200)),
            ("90d", Some(7_776_000)),
            ("1h30m", Some(5_400)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1h30", None),
            ("-5m", None),
            ("5 m", None),
            ("1.5h", None),
            ("5M", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, seconds) in cases {
            let expected = seconds.map(HumanDuration::from_secs);
            assert_eq!(text.parse::<HumanDuration>().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["30s", "5m", "12h", "90d", "0s", "90s"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
    }
}
