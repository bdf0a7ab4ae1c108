//! Puts the rooms together for `certdock serve`.

mod crl;
pub(crate) mod examine;
pub(crate) mod files;
mod live;
mod openers;
mod push;
mod rooms;
mod serve;
mod signals;
mod tls;

use self::rooms::Rooms;

pub use live::Start;
pub use serve::serve;
pub use signals::Hangup;
