//! The clients that people use.

mod certbot;
mod gufo;
mod instant;
mod lego;
