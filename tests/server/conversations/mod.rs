//! Conversations: creating and listing them, members, roles, names, settings, blocks and statistics.

mod blocks;
mod creation;
mod group_temp_ids;
mod members;
mod names;
mod roles;
mod settings;
mod statistics;
