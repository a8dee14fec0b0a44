//! How use cases start bulk changes: changes for so many users that one transaction must not make them.
//!
//! The use case changes the state in its own transaction and starts the bulk change there, so both happen or neither.
//! The relay then makes the change in steps (`relay/bulk.rs`), whatever happens to this node.

use super::tx::Tx;
use crate::domain::ids::BulkChangeId;
use crate::error::{Error, Result};
use crate::store::bulk_changes;
use serde::Serialize;

impl Tx {
    /// Starts a bulk change with this transaction. `kind` names the code that makes it, which reads `argument` in each
    /// step.
    pub async fn start_bulk_change(&mut self, kind: &str, argument: &impl Serialize) -> Result<BulkChangeId> {
        let id = BulkChangeId::new();
        let argument = serde_json::to_string(argument).map_err(Error::internal)?;
        bulk_changes::insert(self.conn(), id, kind, &argument, self.now()).await?;
        Ok(id)
    }
}
