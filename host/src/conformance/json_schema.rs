//! [`complaint`]: whether a value fits a JSON Schema, as far as configurations need it. Of the keywords
//! of draft 2020-12, those are known that say what a value is made of; others, `pattern` among them,
//! are passed over, so that a value which is refused here is refused by any reader of the schema.

use serde_json::{Map, Value};

/// Schemas that refer to themselves end somewhere.
const DEEPEST: usize = 64;

/// What does not fit: where it is, as a dotted path, and why.
pub(super) fn complaint(schema: &Value, value: &Value) -> Option<String> {
    let reader = Reader { root: schema };
    reader.check(schema, value, "", DEEPEST).err()
}

/// The schema of a property at the top, with what it refers to put in its place.
pub(super) fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let found = schema.get("properties")?.get(name)?;
    let target = found.get("$ref").and_then(Value::as_str);
    target
        .and_then(|target| follow(schema, target))
        .or(Some(found))
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, depth: usize) -> Result<(), String> {
        let schema = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(schema) => schema,
            _ => return Err(wrong(at, "nothing may stand here")),
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(());
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = follow(self.root, target)
        {
            self.check(target, value, at, depth)?;
        }
        if let Some(kind) = schema.get("type")
            && !one_or_more(kind).any(|kind| is_a(value, kind))
        {
            return Err(wrong(at, &format!("this is not of type {kind}")));
        }
        if schema.get("const").is_some_and(|only| only != value) {
            return Err(wrong(at, "this is not the one value that may stand here"));
        }
        if let Some(Value::Array(all)) = schema.get("enum")
            && !all.contains(value)
        {
            return Err(wrong(at, "this is none of the values that may stand here"));
        }
        self.check_bounds(schema, value, at)?;
        self.check_choices(schema, value, at, depth)?;
        match value {
            Value::Object(object) => self.check_object(schema, object, at, depth),
            Value::Array(items) => {
                let Some(each) = schema.get("items") else {
                    return Ok(());
                };
                let each = |(index, item)| self.check(each, item, &format!("{at}[{index}]"), depth);
                items.iter().enumerate().try_for_each(each)
            }
            _ => Ok(()),
        }
    }

    fn check_choices(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        let list = |name| schema.get(name).and_then(Value::as_array);
        for part in list("allOf").into_iter().flatten() {
            self.check(part, value, at, depth)?;
        }
        for (name, exactly_one) in [("anyOf", false), ("oneOf", true)] {
            let Some(choices) = list(name) else { continue };
            let fits = |choice: &&Value| self.check(choice, value, at, depth).is_ok();
            let fitting = choices.iter().filter(fits).count();
            if fitting == 0 || exactly_one && fitting > 1 {
                return Err(wrong(at, "this is none of the forms that may stand here"));
            }
        }
        Ok(())
    }

    fn check_object(
        &self,
        schema: &Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Err(wrong(&join(at, name), "this is missing"));
            }
        }
        for (name, value) in object {
            let path = join(at, name);
            match known.and_then(|known| known.get(name)) {
                Some(schema) => self.check(schema, value, &path, depth)?,
                None => match schema.get("additionalProperties") {
                    Some(Value::Bool(false)) => {
                        return Err(wrong(&path, "there is no such key"));
                    }
                    Some(others) => self.check(others, value, &path, depth)?,
                    None => {}
                },
            }
        }
        Ok(())
    }

    fn check_bounds(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let (low, high, size) = match value {
            Value::Number(number) => ("minimum", "maximum", number.as_f64()),
            Value::String(text) => ("minLength", "maxLength", Some(text.chars().count() as f64)),
            Value::Array(items) => ("minItems", "maxItems", Some(items.len() as f64)),
            _ => return Ok(()),
        };
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        let below = bound(low).is_some_and(|low| size.is_some_and(|size| size < low));
        let above = bound(high).is_some_and(|high| size.is_some_and(|size| size > high));
        if below || above {
            return Err(wrong(at, "this is too small or too large"));
        }
        Ok(())
    }
}

/// `#/$defs/NAME`
fn follow<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    root.pointer(target.strip_prefix('#')?)
}

fn one_or_more(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str().into_iter();
    one.chain(
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    )
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

fn wrong(at: &str, why: &str) -> String {
    if at.is_empty() {
        why.to_owned()
    } else {
        format!("`{at}`: {why}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_fit_or_do_not() {
        let schema = json!({
            "type": "object",
            "properties": {
                "url": { "type": "string", "minLength": 1 },
                "password": { "anyOf": [{ "$ref": "#/$defs/Secret" }, { "type": "null" }] },
                "size": { "type": ["integer", "null"], "minimum": 0, "maximum": 9 },
                "kinds": { "type": "array", "items": { "enum": ["a", "b"] }, "maxItems": 2 },
                "names": { "type": "object", "additionalProperties": { "type": "string" } },
                "self": { "$ref": "#" },
            },
            "required": ["url"],
            "additionalProperties": false,
            "$defs": { "Secret": { "oneOf": [
                { "type": "object", "properties": { "env": { "type": "string" } }, "required": ["env"], "additionalProperties": false },
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
            ] } },
        });
        let cases = [
            (json!({ "url": "x" }), None),
            (json!({}), Some("`url`: this is missing")),
            (json!([]), Some("this is not of type \"object\"")),
            (
                json!({ "url": 7 }),
                Some("`url`: this is not of type \"string\""),
            ),
            (
                json!({ "url": "" }),
                Some("`url`: this is too small or too large"),
            ),
            (
                json!({ "url": "x", "ulr": 1 }),
                Some("`ulr`: there is no such key"),
            ),
            (json!({ "url": "x", "password": { "env": "X" } }), None),
            (json!({ "url": "x", "password": null }), None),
            (
                json!({ "url": "x", "password": "hush" }),
                Some("`password`: this is none of the forms that may stand here"),
            ),
            (json!({ "url": "x", "size": 3.0 }), None),
            (
                json!({ "url": "x", "size": 10 }),
                Some("`size`: this is too small or too large"),
            ),
            (
                json!({ "url": "x", "kinds": ["a", "c"] }),
                Some("`kinds[1]`: this is none of the values that may stand here"),
            ),
            (
                json!({ "url": "x", "names": { "a": 1 } }),
                Some("`names.a`: this is not of type \"string\""),
            ),
            (
                json!({ "url": "x", "self": { "url": 1 } }),
                Some("`self.url`: this is not of type \"string\""),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(complaint(&schema, &value).as_deref(), expected, "{value}");
        }
        assert_eq!(complaint(&json!(true), &json!(7)), None);
        assert!(complaint(&json!(false), &json!(7)).is_some());
        let endless = json!({ "$ref": "#" });
        assert_eq!(complaint(&endless, &json!(7)), None);
        assert_eq!(property(&schema, "self"), Some(&schema));
    }
}
