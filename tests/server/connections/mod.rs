//! The server and its connections: memory, descriptors, slow and silent clients, upgrades, proxies, and old versions of
//! protocols.

mod connection_limits;
mod memory;
mod protocol_versions;
mod proxy;
mod refusals;
mod silent_clients;
mod upgrades;
