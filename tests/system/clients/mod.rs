//! The clients that people use.

mod bouncycastle;
mod certbot;
mod curl_est;
mod gufo;
mod instant;
mod lego;
mod strongswan;

pub(crate) use gufo::serve;
