//! The bytes of each type of column, by hand.

use super::*;

struct Row {
    model: &'static str,
    reasons: Vec<String>,
    map: Vec<(String, String)>,
    count: Option<u64>,
    nanos: Option<i64>,
}

fn rows() -> Vec<Row> {
    let text = str::to_owned;
    vec![
        Row {
            model: "a",
            reasons: vec![text("x"), text("y")],
            map: vec![(text("k"), text("v"))],
            count: Some(258),
            nanos: Some(-1),
        },
        Row { model: "", reasons: vec![], map: vec![], count: None, nanos: None },
        Row { model: "a", reasons: vec![text("x")], map: vec![], count: Some(0), nanos: Some(75) },
    ]
}

/// Written once by `clickhouse` itself would be circular proof in the other direction; these bytes follow the format's
/// description by hand, and `tests/integration/tables.rs` has the engine read the same writer's output.
fn golden(cells: Cells<Row>, expected: &[&[u8]]) {
    let type_name = cells.type_name();
    let columns = [Column { name: "c", cells }];
    let mut bytes = vec![1, 3, 1, b'c', type_name.len() as u8];
    bytes.extend_from_slice(type_name.as_bytes());
    expected.iter().for_each(|part| bytes.extend_from_slice(part));
    assert_eq!(block(&columns, &rows()), bytes, "{type_name}");
}

fn u64s<const N: usize>(numbers: [u64; N]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn words_are_a_dictionary_and_indexes() {
    golden(
        Cells::LowCardinality(|row| row.model),
        &[&u64s([1, 0x600, 2]), b"\x01a\x00", &u64s([3]), &[0, 1, 0]],
    );
}

#[test]
fn lists_and_maps_put_the_prefix_before_the_offsets() {
    golden(
        Cells::LowCardinalityArray(|row| row.reasons.len(), |row, place| &row.reasons[place]),
        &[&u64s([1, 2, 2, 3, 0x600, 2]), b"\x01x\x01y", &u64s([3]), &[0, 1, 0]],
    );
    golden(
        Cells::LowCardinalityMap(|row| row.reasons.len(), |row, place| (row.model, &row.reasons[place])),
        &[
            &u64s([1, 1, 2, 2, 3, 0x600, 1]),
            b"\x01a",
            &u64s([3]),
            &[0, 0, 0],
            &u64s([0x600, 2]),
            b"\x01x\x01y",
            &u64s([3]),
            &[0, 1, 0],
        ],
    );
    golden(
        Cells::Map(|row| &row.map),
        &[&u64s([1, 1, 1, 1, 0x600, 1]), b"\x01k", &u64s([1]), &[0], b"\x01v"],
    );
}

#[test]
fn lists_of_numbers_are_offsets_and_cells() {
    let length = |row: &Row| row.reasons.len();
    golden(Cells::I64Array(length, |_, place| 7 + place as i64), &[&u64s([2, 2, 3, 7, 8, 7])]);
    golden(
        Cells::NullableDecimalArray(length, |row, place| row.nanos.filter(|_| place == 0)),
        &[&u64s([2, 2, 3]), &[0, 1, 0], &u64s([u64::MAX, 0, 75])],
    );
    golden(Cells::I8(|row| row.nanos.map_or(1, |_| -1)), &[&[0xff, 1, 0xff]]);
}

#[test]
fn nulls_have_a_map_and_a_default_cell() {
    golden(Cells::NullableU64(|row| row.count), &[&[0, 1, 0], &u64s([258, 0, 0])]);
    golden(Cells::NullableDecimal(|row| row.nanos), &[&[0, 1, 0], &u64s([u64::MAX, 0, 75])]);
}

#[test]
fn a_uuid_is_two_reversed_halves() {
    golden(
        Cells::Uuid(|_| [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        &[&[7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8].repeat(3)],
    );
}

#[test]
fn an_index_is_as_wide_as_the_dictionary_needs() {
    for (distinct, width, code) in [(1_u64, 1, 0), (256, 1, 0), (257, 2, 1), (65_536, 2, 1), (65_537, 4, 2)] {
        let texts: Vec<String> = (0..distinct).map(|number| number.to_string()).collect();
        let mut out = Vec::new();
        Dictionary::of(texts.iter().map(String::as_str)).write(&mut out);
        let keys: usize = texts.iter().map(|text| 1 + text.len()).sum();
        assert_eq!(out[..8], (code | 0x600_u64).to_le_bytes(), "{distinct}");
        assert_eq!(out.len(), 24 + keys + width * texts.len(), "{distinct}");
    }
}

#[test]
fn lengths_over_one_byte_are_varints() {
    let mut out = Vec::new();
    write_varint(&mut out, 300);
    write_varint(&mut out, 127);
    assert_eq!(out, [0xac, 0x02, 0x7f]);
}
