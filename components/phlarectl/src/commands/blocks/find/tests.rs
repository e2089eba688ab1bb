use std::fs;

use super::*;

const ONE: &str = "01M8952SNR4MW2AEEN4TTF9M9R";
const OTHER: &str = "01M8952V4B1QZWVKQR2HZ474HG";

fn args(targets: &[&str]) -> PlaceArgs {
    PlaceArgs {
        targets: targets.iter().map(|&target| target.to_owned()).collect(),
        bucket: None,
        tenant: None,
    }
}

/// Names of the blocks that the arguments stand for.
async fn names(args: &PlaceArgs) -> Result<Vec<String>, String> {
    let places = Places::new(args, None).map_err(|error| error.to_string())?;
    let found = places.find().await.map_err(|error| format!("{error:#}"))?;
    Ok(found.into_iter().map(|block| block.name).collect())
}

/// A directory with an empty `meta.json` in each of these directories.
fn tree(blocks: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for block in blocks {
        let block = directory.path().join(block);
        fs::create_dir_all(&block).unwrap();
        fs::write(block.join("meta.json"), "{}").unwrap();
    }
    directory
}

fn in_tree(directory: &tempfile::TempDir, path: &str) -> String {
    directory.path().join(path).display().to_string()
}

#[test]
fn ids_are_told_from_places() {
    let places = Places::new(&args(&[ONE, "s3://b/p", OTHER, ONE]), None).unwrap();
    assert_eq!(places.places, ["s3://b/p"]);
    assert_eq!(places.ids.len(), 2);
    assert_eq!(places.tenant, TenantId::anonymous());
    assert_eq!(
        Places::new(&args(&["d"]), Some("t"))
            .unwrap()
            .tenant
            .to_string(),
        "t"
    );

    let bucket = PlaceArgs {
        bucket: Some("/data".to_owned()),
        tenant: Some("t".to_owned()),
        ..args(&[ONE])
    };
    let places = Places::new(&bucket, Some("other")).unwrap();
    assert_eq!(
        (places.places, places.ids.len()),
        (vec!["/data".to_owned()], 1)
    );
    assert_eq!(places.tenant.to_string(), "t");

    for nowhere in [args(&[]), args(&[ONE])] {
        let error = Places::new(&nowhere, None).unwrap_err().to_string();
        assert!(error.contains("where are the blocks"), "{error}");
    }
    let error = Places::new(&args(&["d"]), Some("a/b"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("`a/b`") && error.contains("'/'"), "{error}");
}

#[test]
fn a_block_is_taken_off_the_place_it_lies_in() {
    let directory = tree(&[ONE, "mine", "none/deeper"]);
    let parent = directory.path().display().to_string();
    for (text, name) in [(ONE, ONE), ("mine", "mine")] {
        for slash in ["", "/"] {
            let block = format!("{}{slash}", in_tree(&directory, text));
            assert_eq!(
                split(&block),
                (parent.clone(), Some(name.to_owned())),
                "{block}"
            );
        }
    }
    for whole in [
        &parent,
        &in_tree(&directory, "none"),
        "s3://b/p?region=x",
        "s3://b",
    ] {
        assert_eq!(split(whole), (whole.to_owned(), None));
    }
    assert_eq!(
        split(&format!("s3://b/p/{ONE}/?region=x")),
        ("s3://b/p?region=x".to_owned(), Some(ONE.to_owned()))
    );
    assert_eq!(
        split(&format!("gs://b/{ONE}")),
        ("gs://b".to_owned(), Some(ONE.to_owned()))
    );
}

#[tokio::test]
async fn blocks_are_found_from_every_directory_above_them() {
    let here = [
        format!("anonymous/phlaredb/{ONE}"),
        format!("anonymous/phlaredb/{OTHER}"),
    ];
    let bucket = tree(&[&here[0], &here[1], "anonymous/phlaredb/markers", "else"]);
    for place in ["", "anonymous", "anonymous/phlaredb", "anonymous/phlaredb/"] {
        let place = in_tree(&bucket, place);
        assert_eq!(
            names(&args(&[&place])).await.unwrap(),
            [ONE, OTHER],
            "{place}"
        );
        let url = format!("file://{place}");
        assert_eq!(names(&args(&[&url])).await.unwrap(), [ONE, OTHER], "{url}");
        assert_eq!(names(&args(&[&place, OTHER])).await.unwrap(), [OTHER]);
    }
    let one = in_tree(&bucket, &here[0]);
    assert_eq!(names(&args(&[&one])).await.unwrap(), [ONE]);
    let both = [one, in_tree(&bucket, &here[1]), in_tree(&bucket, &here[0])];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    assert_eq!(names(&args(&both)).await.unwrap(), [ONE, OTHER]);
}

#[tokio::test]
async fn blocks_of_an_ingester_are_found() {
    let data = tree(&[
        &format!("ingester/anonymous/local/{ONE}"),
        &format!("ingester/anonymous/head/{OTHER}"),
    ]);
    for place in [
        "",
        "ingester",
        "ingester/anonymous",
        "ingester/anonymous/local",
    ] {
        let place = in_tree(&data, place);
        assert_eq!(names(&args(&[&place])).await.unwrap(), [ONE], "{place}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let bucket = tree(&[&format!("shop/phlaredb/{ONE}")]);
    let root = in_tree(&bucket, "");
    let error = names(&args(&[&root])).await.unwrap_err();
    assert!(
        error.contains("tenant `anonymous`") && error.contains("it has shop"),
        "{error}"
    );
    let shop = PlaceArgs {
        tenant: Some("shop".to_owned()),
        ..args(&[&root, OTHER])
    };
    let error = names(&shop).await.unwrap_err();
    assert!(
        error.starts_with(&format!("no block {OTHER} in ")),
        "{error}"
    );
    let error = names(&args(&[&in_tree(&bucket, "nowhere")]))
        .await
        .unwrap_err();
    assert!(error.contains("nowhere"), "{error}");
    let error = names(&args(&["ftp://x"])).await.unwrap_err();
    assert!(error.contains("ftp://x"), "{error}");
}
