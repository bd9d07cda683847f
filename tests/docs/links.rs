//! What the documents point to.

use crate::{pages, read, root};

#[test]
fn what_the_documents_point_to_is_there() {
    for page in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in read(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{page} points to `{link}`");
            }
        }
    }
}
