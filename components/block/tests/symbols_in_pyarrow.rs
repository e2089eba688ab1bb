//! Another reader's view of the tables of symbols that we write: pyarrow's.
//!
//! `PHLARE_PYTHON` names a Python with pyarrow, else `python3` is tried; the test is skipped if it has none.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use phlare_block::symbols::{Function, Line, Location, Mapping, Symbols};
use phlare_block::symdb::Writer;

const SCRIPT: &str = r#"
import sys
import pyarrow.parquet as parquet
for name in ["strings", "functions", "mappings", "locations"]:
    file = parquet.ParquetFile(f"{sys.argv[1]}/symbols/{name}.parquet", page_checksum_verification=True)
    schema = str(file.schema).split("\n", 1)[1]
    print(schema.replace("field_id=-1 ", "").rstrip())
    print(file.read().to_pylist())
"#;

const EXPECTED: &str = r"required group String {
  required int64 ID (Int(bitWidth=64, isSigned=false));
  required binary String (String);
}
[{'ID': 0, 'String': ''}, {'ID': 0, 'String': 'main'}]
required group Function {
  required int64 Id (Int(bitWidth=64, isSigned=false));
  required int64 Name (Int(bitWidth=64, isSigned=true));
  required int64 SystemName (Int(bitWidth=64, isSigned=true));
  required int64 Filename (Int(bitWidth=64, isSigned=true));
  required int64 StartLine (Int(bitWidth=64, isSigned=true));
}
[{'Id': 0, 'Name': 1, 'SystemName': 1, 'Filename': 0, 'StartLine': 7}]
required group Mapping {
  required int64 Id (Int(bitWidth=64, isSigned=false));
  required int64 MemoryStart (Int(bitWidth=64, isSigned=false));
  required int64 MemoryLimit (Int(bitWidth=64, isSigned=false));
  required int64 FileOffset (Int(bitWidth=64, isSigned=false));
  required int64 Filename (Int(bitWidth=64, isSigned=true));
  required int64 BuildId (Int(bitWidth=64, isSigned=true));
  required boolean HasFunctions;
  required boolean HasFilenames;
  required boolean HasLineNumbers;
  required boolean HasInlineFrames;
}
[{'Id': 0, 'MemoryStart': 0, 'MemoryLimit': 18446744073709551615, 'FileOffset': 0, 'Filename': 0, 'BuildId': 0, 'HasFunctions': True, 'HasFilenames': False, 'HasLineNumbers': True, 'HasInlineFrames': False}]
required group Location {
  required int64 Id (Int(bitWidth=64, isSigned=false));
  required int64 MappingId (Int(bitWidth=64, isSigned=false));
  required int64 Address (Int(bitWidth=64, isSigned=false));
  repeated group Line {
    required int64 FunctionId (Int(bitWidth=64, isSigned=false));
    required int64 Line (Int(bitWidth=64, isSigned=true));
  }
  required boolean IsFolded;
}
[{'Id': 0, 'MappingId': 0, 'Address': 1, 'Line': [{'FunctionId': 0, 'Line': 8}, {'FunctionId': 0, 'Line': 9}], 'IsFolded': False}, {'Id': 1, 'MappingId': 0, 'Address': 2, 'Line': [], 'IsFolded': True}]
";

fn symbols() -> Symbols {
    let mut symbols = Symbols::default();
    symbols.strings.push("").unwrap();
    symbols.strings.push("main").unwrap();
    symbols.functions.push(Function {
        name: 1,
        system_name: 1,
        filename: 0,
        start_line: 7,
    });
    symbols.mappings.push(Mapping {
        memory_limit: u64::MAX,
        flags: 0b1010,
        ..Mapping::default()
    });
    symbols.lines = [(8, 1), (9, 0)]
        .map(|(line, column)| Line {
            function: 0,
            column,
            line,
        })
        .to_vec();
    symbols.locations = [(1, 2, false), (2, 0, true)]
        .map(|(address, line_count, is_folded)| Location {
            mapping: 0,
            address,
            first_line: 0,
            line_count,
            is_folded,
        })
        .to_vec();
    symbols
}

#[test]
fn pyarrow_reads_what_we_write() {
    let python = std::env::var_os("PHLARE_PYTHON").unwrap_or_else(|| "python3".into());
    let mut import = Command::new(&python);
    import.args(["-c", "import pyarrow.parquet"]);
    if !import.output().is_ok_and(|output| output.status.success()) {
        let required = std::env::var("PHLARE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
        assert!(!required, "{} has no pyarrow", python.display());
        eprintln!(
            "SKIPPED: {} has no pyarrow; PHLARE_PYTHON names one that has",
            python.display()
        );
        return;
    }
    let block = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(block.path()).unwrap();
    writer.partition(7, &symbols()).unwrap();
    writer.finish().unwrap();
    let mut read = Command::new(&python);
    let output = read
        .args(["-c", SCRIPT])
        .arg(block.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, EXPECTED.lines().collect::<Vec<_>>());
}
