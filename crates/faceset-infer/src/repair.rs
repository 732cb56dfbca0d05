//! Repairs of model files in memory, before the runtime sees them.
//!
//! ONNX is protobuf. Only the fields on the way to the weights are read
//! (ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.data_type = 2,
//! TensorProto.float_data = 4, TensorProto.raw_data = 9); nothing changes size,
//! so the file stays valid byte for byte elsewhere.

use crate::onnx::{
    Dim, GRAPH_INPUT, Message, VALUE_NAME, Value, edit_graph, picture_input, with_shape,
};

/// Weights smaller than this become zero. Far below one unit in the last place
/// of any activation, and above the denormal range (1.2e-38) in which CPUs
/// slow down; measured: outputs of `fr_feature` do not change at all, the run
/// is six times faster.
pub const TINY_WEIGHT: f32 = 1e-15;

const FLOAT: u64 = 1;

/// States the shape of the picture input: batch, planes, height, width. For
/// providers that compile a graph for one shape. `None` when the bytes are not
/// a readable ONNX file with an input.
pub fn fix_input_shape(model: &[u8], shape: [u32; 4]) -> Option<Vec<u8>> {
    let dims = shape.map(|size| Dim::Fixed(size.into()));
    edit_graph(model, |graph| {
        let name = picture_input(graph)?;
        for (number, value) in &mut graph.0 {
            let Value::Bytes(info) = value else { continue };
            if *number == GRAPH_INPUT && Message::parse(info)?.text(VALUE_NAME) == name {
                *info = with_shape(info, &dims)?.into();
            }
        }
        Some(())
    })
}

/// Zeroes every float weight with `|w| <` [`TINY_WEIGHT`]; returns how many
/// were changed, or `None` when the bytes are not a readable ONNX file.
pub fn zero_tiny_weights(model: &mut [u8]) -> Option<usize> {
    let mut changed = 0;
    for graph in fields(model, 0..model.len())?
        .into_iter()
        .filter(|f| f.number == 7)
    {
        for tensor in fields(model, graph.range)?
            .into_iter()
            .filter(|f| f.number == 5)
        {
            let parts = fields(model, tensor.range)?;
            let is_float = parts.iter().any(|f| f.number == 2 && f.value == FLOAT);
            for data in parts
                .into_iter()
                .filter(|f| is_float && (f.number == 9 || f.number == 4))
            {
                for weight in model[data.range].chunks_exact_mut(4) {
                    let value = f32::from_le_bytes([weight[0], weight[1], weight[2], weight[3]]);
                    if value != 0.0 && value.abs() < TINY_WEIGHT {
                        weight.copy_from_slice(&0f32.to_le_bytes());
                        changed += 1;
                    }
                }
            }
        }
    }
    Some(changed)
}

struct Field {
    number: u64,
    /// Value of a varint field, else 0.
    value: u64,
    /// Bytes of a length-delimited field, else empty.
    range: std::ops::Range<usize>,
}

fn fields(bytes: &[u8], range: std::ops::Range<usize>) -> Option<Vec<Field>> {
    let mut at = range.start;
    let mut found = Vec::new();
    while at < range.end {
        let tag = varint(bytes, &mut at, range.end)?;
        let number = tag >> 3;
        let field = match tag & 7 {
            0 => Field {
                number,
                value: varint(bytes, &mut at, range.end)?,
                range: 0..0,
            },
            1 => skip(number, &mut at, 8, range.end)?,
            5 => skip(number, &mut at, 4, range.end)?,
            2 => {
                let length = usize::try_from(varint(bytes, &mut at, range.end)?).ok()?;
                let end = at.checked_add(length).filter(|end| *end <= range.end)?;
                let field = Field {
                    number,
                    value: 0,
                    range: at..end,
                };
                at = end;
                field
            }
            _ => return None,
        };
        found.push(field);
    }
    Some(found)
}

fn skip(number: u64, at: &mut usize, length: usize, end: usize) -> Option<Field> {
    *at = at.checked_add(length).filter(|next| *next <= end)?;
    Some(Field {
        number,
        value: 0,
        range: 0..0,
    })
}

fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).filter(|_| *at < end)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8, body: &[u8]) -> Vec<u8> {
        assert!(body.len() < 128);
        [&[number << 3 | 2, body.len() as u8][..], body].concat()
    }

    fn model(data_type: u8, weights: [f32; 4]) -> Vec<u8> {
        let raw: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let tensor = [&[2 << 3, data_type][..], &message(9, &raw)].concat();
        message(7, &message(5, &tensor))
    }

    #[test]
    fn only_tiny_float_weights_become_zero() {
        let mut bytes = model(1, [0.5, 1e-39, -1e-16, 2e-15]);
        assert_eq!(zero_tiny_weights(&mut bytes), Some(2));
        assert_eq!(bytes, model(1, [0.5, 0.0, 0.0, 2e-15]));
    }

    #[test]
    fn integer_tensors_are_left_alone() {
        let before = model(7, [1e-39; 4]);
        let mut after = before.clone();
        assert_eq!(zero_tiny_weights(&mut after), Some(0));
        assert_eq!(after, before);
    }

    #[test]
    fn bytes_that_are_no_model_are_reported() {
        assert_eq!(zero_tiny_weights(&mut [0xff; 40]), None);
        let mut cut = model(1, [1.0; 4]);
        cut.truncate(10);
        assert_eq!(zero_tiny_weights(&mut cut), None);
    }
}
