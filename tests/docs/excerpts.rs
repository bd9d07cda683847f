//! The pieces of the program that the documents show stand in it, word for word.

use crate::{blocks, pages, read};

/// The lines of a file or an excerpt, without how far they are moved in.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_excerpt_stands_in_the_file_that_it_names() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in pages() {
        for (line, block) in blocks(&read(&page), "rust") {
            let Some(file) = block.lines().next().and_then(|first| first.strip_prefix("// src/")) else {
                wrong.push(format!("{page}, block at line {line} does not begin with its file: `// src/…`"));
                continue;
            };
            let file = format!("src/{}", file.trim());
            looked_at += 1;
            let whole = read(&file);
            let (whole, shown) = (lines(&whole), lines(&block));
            // `// …` stands for what is left out.
            for piece in shown[1..].split(|line| *line == "// …").filter(|piece| !piece.is_empty()) {
                if !whole.windows(piece.len()).any(|window| window == piece) {
                    wrong.push(format!(
                        "{page}, block at line {line}: {file} has no such\n{}",
                        piece.join("\n")
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at > 4, "only {looked_at} excerpts were found");
}
