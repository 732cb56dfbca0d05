//! ONNX files as trees of protobuf fields, for changes before loading.
//!
//! Knows the few field numbers of the format that repairs need and keeps
//! everything else byte for byte, so that a file which nothing was changed in
//! comes out equal. What a change means is `repair`'s business.

use std::borrow::Cow;

/// ModelProto.graph
pub(crate) const MODEL_GRAPH: u64 = 7;
/// GraphProto.initializer
pub(crate) const GRAPH_INITIALIZER: u64 = 5;
/// GraphProto.input
pub(crate) const GRAPH_INPUT: u64 = 11;
/// TensorProto.name
pub(crate) const TENSOR_NAME: u64 = 8;
/// ValueInfoProto.name
pub(crate) const VALUE_NAME: u64 = 1;
/// ValueInfoProto.type
const VALUE_TYPE: u64 = 2;
/// TypeProto.tensor_type
const TYPE_TENSOR: u64 = 1;
/// TypeProto.Tensor.shape
const TENSOR_TYPE_SHAPE: u64 = 2;
/// TensorShapeProto.dim
const SHAPE_DIM: u64 = 1;
/// TensorShapeProto.Dimension.dim_value
const DIM_VALUE: u64 = 1;

/// A field's content by protobuf's wire types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Cow<'a, [u8]>),
    Fixed32([u8; 4]),
}

/// A message: its fields in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Message<'a>(pub(crate) Vec<(u64, Value<'a>)>);

impl<'a> Message<'a> {
    /// `None` when the bytes are no protobuf message.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let value = match tag & 7 {
                0 => Value::Varint(varint(&mut rest)?),
                1 => Value::Fixed64(take(&mut rest, 8)?.try_into().ok()?),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).ok()?;
                    Value::Bytes(Cow::Borrowed(take(&mut rest, length)?))
                }
                5 => Value::Fixed32(take(&mut rest, 4)?.try_into().ok()?),
                _ => return None,
            };
            fields.push((tag >> 3, value));
        }
        Some(Self(fields))
    }

    /// The message's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, value) in &self.0 {
            let mut tag = |wire: u64| put_varint(&mut out, number << 3 | wire);
            match value {
                Value::Varint(v) => {
                    tag(0);
                    put_varint(&mut out, *v);
                }
                Value::Fixed64(v) => {
                    tag(1);
                    out.extend_from_slice(v);
                }
                Value::Bytes(v) => {
                    tag(2);
                    put_varint(&mut out, v.len() as u64);
                    out.extend_from_slice(v);
                }
                Value::Fixed32(v) => {
                    tag(5);
                    out.extend_from_slice(v);
                }
            }
        }
        out
    }

    /// Every length-delimited field of this number.
    pub(crate) fn all(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(n, value)| match value {
            Value::Bytes(bytes) if *n == number => Some(bytes.as_ref()),
            _ => None,
        })
    }

    /// The first of them.
    pub(crate) fn bytes(&self, number: u64) -> Option<&[u8]> {
        self.all(number).next()
    }

    /// The same as text; empty when it is missing or no UTF-8.
    pub(crate) fn text(&self, number: u64) -> &str {
        self.bytes(number)
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or_default()
    }

    pub(crate) fn push_bytes(&mut self, number: u64, bytes: Vec<u8>) {
        self.0.push((number, Value::Bytes(Cow::Owned(bytes))));
    }

    pub(crate) fn push_number(&mut self, number: u64, value: u64) {
        self.0.push((number, Value::Varint(value)));
    }

    /// Replaces the content of the first field of this number, or adds one.
    pub(crate) fn set_bytes(&mut self, number: u64, bytes: Vec<u8>) {
        match self.0.iter_mut().find(|(n, _)| *n == number) {
            Some((_, value)) => *value = Value::Bytes(Cow::Owned(bytes)),
            None => self.push_bytes(number, bytes),
        }
    }
}

/// Changes the graph of a model; `None` when the bytes are no ONNX model or the
/// change says so.
pub(crate) fn edit_graph(
    model: &[u8],
    change: impl FnOnce(&mut Message<'_>) -> Option<()>,
) -> Option<Vec<u8>> {
    let mut whole = Message::parse(model)?;
    let changed = {
        let mut graph = Message::parse(whole.bytes(MODEL_GRAPH)?)?;
        change(&mut graph)?;
        graph.encode()
    };
    whole.set_bytes(MODEL_GRAPH, changed);
    Some(whole.encode())
}

/// Name of the picture input: the first input that is no weight.
pub(crate) fn picture_input(graph: &Message<'_>) -> Option<String> {
    let mut weights = Vec::new();
    for tensor in graph.all(GRAPH_INITIALIZER) {
        weights.push(Message::parse(tensor)?.text(TENSOR_NAME).to_owned());
    }
    for input in graph.all(GRAPH_INPUT) {
        let name = Message::parse(input)?.text(VALUE_NAME).to_owned();
        if !weights.contains(&name) {
            return Some(name);
        }
    }
    None
}

/// A dimension as a graph states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dim {
    Fixed(u64),
}

/// States the shape of a graph's input or output.
pub(crate) fn with_shape(value_info: &[u8], dims: &[Dim]) -> Option<Vec<u8>> {
    let mut shape = Message::default();
    for dim in dims {
        let mut stated = Message::default();
        match dim {
            Dim::Fixed(size) => stated.push_number(DIM_VALUE, *size),
        }
        shape.push_bytes(SHAPE_DIM, stated.encode());
    }
    change_shape(value_info, Some(shape.encode()))
}

fn change_shape(value_info: &[u8], shape: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut info = Message::parse(value_info)?;
    let typed = {
        let mut of_type = Message::parse(info.bytes(VALUE_TYPE)?)?;
        let tensor = {
            let mut tensor = Message::parse(of_type.bytes(TYPE_TENSOR)?)?;
            match shape {
                Some(shape) => tensor.set_bytes(TENSOR_TYPE_SHAPE, shape),
                None => tensor.0.retain(|(n, _)| *n != TENSOR_TYPE_SHAPE),
            }
            tensor.encode()
        };
        of_type.set_bytes(TYPE_TENSOR, tensor);
        of_type.encode()
    };
    info.set_bytes(VALUE_TYPE, typed);
    Some(info.encode())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_wire_type_comes_back_byte_for_byte() {
        // Field 1 varint 300, field 2 eight bytes, field 3 "ab", field 4 four bytes.
        let bytes = [
            &[0x08, 0xac, 0x02, 0x11][..],
            &[
                1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, b'a', b'b', 0x25, 9, 8, 7, 6,
            ],
        ]
        .concat();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.0[0], (1, Value::Varint(300)));
        assert_eq!(message.text(3), "ab");
        assert_eq!(message.encode(), bytes);
    }

    #[test]
    fn cut_bytes_and_unknown_wire_types_are_no_message() {
        assert_eq!(Message::parse(&[0x1a, 3, b'a']), None);
        assert_eq!(Message::parse(&[0x0b]), None, "groups are not in use");
        assert_eq!(Message::parse(&[0xff; 11]), None, "a varint without end");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_again(
            numbers in proptest::collection::vec((1u64..2000, any::<u64>()), 0..8),
            texts in proptest::collection::vec((1u64..2000, "[a-z]{0,300}"), 0..4),
        ) {
            let mut message = Message::default();
            for (number, value) in numbers {
                message.push_number(number, value);
            }
            for (number, text) in &texts {
                message.push_bytes(*number, text.as_bytes().to_vec());
            }
            let bytes = message.encode();
            prop_assert_eq!(Message::parse(&bytes).unwrap(), message);
        }
    }
}
