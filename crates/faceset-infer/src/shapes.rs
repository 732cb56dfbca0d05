//! What a model file says of its input's shape, changed before loading.
//!
//! Some providers compile a graph for one shape and want it stated; detectors
//! that were exported for squares also look at rectangles, and recognisers at
//! many crops at once, when the file does not forbid it. The arithmetic of each
//! position stays the same.

use crate::onnx::{
    Dim, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_NODE, GRAPH_OUTPUT, GRAPH_VALUE_INFO, INT64,
    Message, NODE_INPUT, NODE_OP, TENSOR_INT64S, TENSOR_NAME, TENSOR_RAW, TENSOR_TYPE, VALUE_NAME,
    Value, edit_graph, picture_input, with_shape, without_shape,
};

/// States the shape of the picture input: batch, planes, height, width. `None`
/// when the bytes are not a readable ONNX file with an input.
pub fn fix_input_shape(model: &[u8], shape: [u32; 4]) -> Option<Vec<u8>> {
    let dims = shape.map(|size| Dim::Fixed(size.into()));
    edit_graph(model, |graph| state_input(graph, &dims))
}

/// Frees height and width of the picture input, for graphs that work their
/// shapes out as they run (SCRFD does; detectors with anchors stored in the
/// file give nonsense or an error). `None` as above.
pub fn free_input_size(model: &[u8], planes: u32) -> Option<Vec<u8>> {
    let dims = [
        Dim::Fixed(1),
        Dim::Fixed(planes.into()),
        Dim::Free("height"),
        Dim::Free("width"),
    ];
    edit_graph(model, |graph| {
        state_input(graph, &dims)?;
        forget_shapes(graph)
    })
}

/// Frees the batch of the picture input, and lets constant reshapes that name a
/// batch of one take the batch that comes. `None` as above.
pub fn free_batch(model: &[u8], shape: [u32; 3]) -> Option<Vec<u8>> {
    let [planes, height, width] = shape.map(|size| Dim::Fixed(size.into()));
    edit_graph(model, |graph| {
        state_input(graph, &[Dim::Free("batch"), planes, height, width])?;
        forget_shapes(graph)?;
        let mut targets = Vec::new();
        for node in graph.all(GRAPH_NODE) {
            let node = Message::parse(node)?;
            if node.text(NODE_OP) == "Reshape" {
                targets.extend(node.all(NODE_INPUT).nth(1).map(<[u8]>::to_vec));
            }
        }
        for (number, value) in &mut graph.0 {
            let Value::Bytes(bytes) = value else { continue };
            if *number == GRAPH_INITIALIZER
                && let Some(freed) = free_first(bytes, &targets)
            {
                *bytes = freed.into();
            }
        }
        Some(())
    })
}

/// The target shape of a reshape with 0, "as it comes", where it said 1; `None`
/// for every other tensor.
fn free_first(tensor: &[u8], targets: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut tensor = Message::parse(tensor)?;
    let is_target = tensor
        .bytes(TENSOR_NAME)
        .is_some_and(|name| targets.iter().any(|t| t == name));
    if !is_target || tensor.number(TENSOR_TYPE) != Some(INT64) {
        return None;
    }
    let mut sizes: Vec<i64> = match tensor.bytes(TENSOR_RAW) {
        Some(raw) => raw
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect(),
        None => tensor
            .numbers(TENSOR_INT64S)?
            .into_iter()
            .map(|v| v as i64)
            .collect(),
    };
    if sizes.first() != Some(&1) {
        return None;
    }
    sizes[0] = 0;
    tensor.0.retain(|(n, _)| *n != TENSOR_INT64S);
    let raw = sizes.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor.set_bytes(TENSOR_RAW, raw);
    Some(tensor.encode())
}

fn state_input(graph: &mut Message<'_>, dims: &[Dim<'_>]) -> Option<()> {
    let name = picture_input(graph)?;
    for (number, value) in &mut graph.0 {
        let Value::Bytes(info) = value else { continue };
        if *number == GRAPH_INPUT && Message::parse(info)?.text(VALUE_NAME) == name {
            *info = with_shape(info, dims)?.into();
        }
    }
    Some(())
}

/// Shapes that were noted for the old input would contradict the new one.
fn forget_shapes(graph: &mut Message<'_>) -> Option<()> {
    graph.0.retain(|(number, _)| *number != GRAPH_VALUE_INFO);
    for (number, value) in &mut graph.0 {
        let Value::Bytes(info) = value else { continue };
        if *number == GRAPH_OUTPUT {
            *info = without_shape(info)?.into();
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flatten_model, prelu_model, run};

    #[test]
    fn freed_sizes_take_other_pictures_and_give_the_same_values() {
        let fixed = prelu_model(&[0.5, 0.1], 4, [2, 3, 4]);
        let free = free_input_size(&fixed, 2).unwrap();
        let values: Vec<f32> = (0..24u8).map(|v| f32::from(v) - 12.0).collect();
        assert_eq!(
            run(&fixed, [1, 2, 3, 4], &values),
            run(&free, [1, 2, 3, 4], &values)
        );
        assert_eq!(
            run(&free, [1, 2, 1, 2], &[-2.0, 4.0, -10.0, 8.0]),
            [-1.0, 4.0, -1.0, 8.0]
        );
    }

    #[test]
    fn a_freed_shape_can_be_fixed_again_to_the_bytes_of_a_fixed_one() {
        let fixed = prelu_model(&[0.5, 0.1], 4, [2, 3, 4]);
        assert_eq!(fix_input_shape(&fixed, [1, 2, 3, 4]), Some(fixed.clone()));
        let again = fix_input_shape(&free_input_size(&fixed, 2).unwrap(), [1, 2, 5, 6]).unwrap();
        let ones = [1.0; 60];
        assert_eq!(run(&again, [1, 2, 5, 6], &ones), ones);
    }

    #[test]
    fn a_freed_batch_gives_each_crop_its_own_row() {
        let one = flatten_model([2, 1, 3]);
        let many = free_batch(&one, [2, 1, 3]).unwrap();
        let values: Vec<f32> = (1..=18u8).map(f32::from).collect();
        let rows: Vec<f32> = values
            .chunks(6)
            .flat_map(|crop| run(&one, [1, 2, 1, 3], crop))
            .collect();
        assert_eq!(run(&many, [3, 2, 1, 3], &values), rows);
    }

    #[test]
    fn bytes_that_are_no_model_are_reported() {
        assert_eq!(fix_input_shape(&[0xff; 9], [1, 3, 4, 5]), None);
        assert_eq!(free_input_size(b"", 3), None);
    }
}
