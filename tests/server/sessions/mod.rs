//! WebSocket sessions: the handshake, frames, delivery, presence, and clients that read slowly.

mod delivery;
mod frames;
mod handshake;
mod presence;
mod slow_clients;
