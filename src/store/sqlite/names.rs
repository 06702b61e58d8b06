//! Names as searches see them, in stores that are older than that form of them.

use sqlx::{Connection as _, SqliteConnection};

use crate::key::field::composed;

/// Names that are looked at in one go.
const BATCH_LEN: i64 = 1_000;

/// Composes the letters of names that were written before searches did, unless that was done.
pub async fn normalize(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if sqlx::query_scalar("SELECT names_normalized FROM installation").fetch_one(&mut *conn).await? {
        return Ok(());
    }
    let mut changed = conn.begin().await?;
    let mut after = String::new();
    loop {
        // Of ASCII alone there is only one form.
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, name_folded FROM api_key WHERE id > $1 AND name_folded GLOB '*[^ -~]*' ORDER BY id LIMIT $2",
        )
        .bind(&after)
        .bind(BATCH_LEN)
        .fetch_all(&mut *changed)
        .await?;
        let Some((last, _)) = rows.last() else { break };
        after.clone_from(last);
        for (id, name) in &rows {
            let composed = composed(name);
            if composed != *name {
                let update = sqlx::query("UPDATE api_key SET name_folded = $2 WHERE id = $1").bind(id).bind(&*composed);
                update.execute(&mut *changed).await?;
            }
        }
    }
    sqlx::query("UPDATE installation SET names_normalized = 1").execute(&mut *changed).await?;
    changed.commit().await
}
