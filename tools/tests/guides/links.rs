//! Every link of the book and of the documents beside it leads somewhere, and every command named in passing exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::common::HARDLINE;

/// What of a page can be linked to, and what it links to.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// Code in the text.
    code: Vec<String>,
}

/// Its text, with what `{{#include FILE}}` puts in.
fn text(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = String::new();
    for line in text.lines() {
        match line.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
            Some(name) => {
                let (file, anchor) = name.split_once(':').map_or((name, None), |(file, anchor)| (file, Some(anchor)));
                let file = path.parent().expect("a folder").join(file);
                let whole = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {}: {e}", path.display(), file.display()));
                for mark in anchor.iter().flat_map(|a| [format!("ANCHOR: {a}\n"), format!("ANCHOR_END: {a}\n")]) {
                    assert!(whole.contains(&mark), "{}: there is no '{}' in {}", path.display(), mark.trim(), file.display());
                }
                if anchor.is_none() {
                    out.push_str(&whole);
                }
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn read(path: &Path) -> Page {
    let (mut page, mut heading) = (Page::default(), None::<String>);
    let mut fence = false;
    for event in Parser::new_ext(&text(path), Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                page.anchors.insert(anchor(&heading.take().expect("it began")));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => page.links.push(dest_url.into_string()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => fence = true,
            Event::End(TagEnd::CodeBlock) => fence = false,
            Event::Text(part) if !fence => heading.iter_mut().for_each(|text| text.push_str(&part)),
            Event::Code(part) => {
                heading.iter_mut().for_each(|text| text.push_str(&part));
                page.code.push(part.into_string());
            }
            _ => {}
        }
    }
    page
}

/// As mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn top() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The chapters, and documents outside of the book.
fn pages() -> Vec<PathBuf> {
    let of = |dir: PathBuf| {
        let mut pages: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        pages.retain(|path| path.extension().is_some_and(|e| e == "md"));
        pages
    };
    [of(top()), of(top().join("docs")), of(crate::book())].concat()
}

#[test]
fn every_link_leads_somewhere() {
    for path in pages() {
        for link in read(&path).links {
            if link.starts_with("https://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').map_or((link.as_str(), None), |(file, part)| (file, Some(part)));
            let target = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link}: there is no {}", path.display(), target.display());
            if let Some(fragment) = fragment {
                let found = read(&target).anchors.contains(fragment);
                assert!(found, "{}: {link}: no heading of {} is that", path.display(), target.display());
            }
            // mdBook copies what is in the book and nothing else
            let inside = |path: &Path| path.canonicalize().unwrap().starts_with(crate::book().canonicalize().unwrap());
            assert!(!inside(&path) || inside(&target), "{}: {link} leads out of the book", path.display());
        }
    }
}

#[test]
fn the_summary_has_every_chapter() {
    let summary = read(&crate::book().join("SUMMARY.md"));
    let listed: BTreeSet<&str> = summary.links.iter().map(String::as_str).collect();
    assert_eq!(listed.len(), summary.links.len(), "each chapter once");
    let there: BTreeSet<&str> = crate::CHAPTERS.iter().chain(crate::INCLUDED).copied().collect();
    assert_eq!(listed, there, "SUMMARY.md and the chapters");
}

#[test]
fn every_figure_is_used_and_well_formed() {
    let used: BTreeSet<String> = pages().iter().flat_map(|path| read(path).links).collect();
    for entry in fs::read_dir(crate::book()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "svg") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(used.contains(&name), "{name} is in no chapter");
            let text = fs::read_to_string(&path).unwrap();
            for part in ["<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=", "<title>", "prefers-color-scheme: dark", "</svg>"]
            {
                assert!(text.contains(part), "{name}: '{part}' is missing");
            }
        }
    }
}

/// Commands in passing, such as in tables: what comes before --help has to be right.
#[test]
fn commands_in_passing_exist() {
    let mut count = 0;
    for name in crate::CHAPTERS {
        for code in read(&crate::book().join(name)).code {
            let Some(rest) = code.strip_prefix("hardline ") else { continue };
            let line = rest
                .replace(['[', ']'], "")
                .replace("PORT", "/dev/ttyUSB0")
                .replace("SOCKET", "./socket")
                .replace(" -- ", " --help -- ");
            let script = format!("\"$0\" {line} --help");
            let output = Command::new("/bin/sh").args(["-c", &script, HARDLINE]).output().unwrap();
            assert!(output.status.success(), "{name}: {code}: {}", String::from_utf8_lossy(&output.stderr));
            count += 1;
        }
    }
    assert!(count > 20, "{count} commands are too few: is the text read?");
}
