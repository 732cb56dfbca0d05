//! The page that corrects faces in Immich, and the small server behind it.
//!
//! Owns HTTP: who may ask ([`Names`], [`SessionToken`]), the routes that the page needs
//! and no others, the page itself. What a decision does, and that it can be undone, is
//! `face_fix`; the page never talks to Immich and never sees the API key.
//!
//! A program brings the engine, a listener, the clock and random bytes:
//!
//! ```no_run
//! # async fn run(engine: face_fix::Engine, random: [u8; 32]) -> std::io::Result<()> {
//! use face_fix_web::{App, AppOptions, Names, SessionToken, serve};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let names = Names::new(listener.local_addr()?, &[]);
//! let token = SessionToken::new(random);
//! let link = face_fix_web::link(&names, &token);
//! # let _ = link;
//! let options = AppOptions::new("me", || jiff::Timestamp::UNIX_EPOCH);
//! serve(listener, App::new(engine, options), names, token, std::future::pending()).await
//! # }
//! ```

mod advice;
mod app;
mod assets;
mod coach;
mod error;
mod guard;
mod origin;
mod people;
mod photo;
mod pictures;
mod pretend;
mod queue;
mod review;
mod routes;
mod server;
mod small;
mod split;
mod state;
mod token;

pub use app::{App, AppOptions};
pub use guard::MAX_BODY_BYTES;
pub use origin::Names;
pub use server::{link, router, serve};
pub use token::{SessionToken, TOKEN_BYTES};
