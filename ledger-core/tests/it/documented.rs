//! The bytes that are hashed, written from the stored form by the documentation alone.

use serde_json::Value;

/// The documented bytes, from an entry's JSON.
pub(crate) fn documented_bytes(entry: &Value) -> Vec<u8> {
    let mut fields = vec![
        b"standing.ledger.entry.v1".to_vec(),
        hex(&entry["prev_hash"]),
        hex(&entry["account"]),
        eight(&entry["seq"]),
        text(&entry["key"]),
        instant(&entry["effective_at"]),
        instant(&entry["recorded_at"]),
        text(&entry["body"]["kind"]),
    ];
    let kind = entry["body"]["kind"].as_str().unwrap();
    let (_, declared) = FIELDS.iter().find(|(of, _)| *of == kind).unwrap();
    write(&entry["body"], declared, &mut fields);
    let prefixed = |field: Vec<u8>| {
        [
            &u32::try_from(field.len()).unwrap().to_be_bytes()[..],
            &field[..],
        ]
        .concat()
    };
    fields.into_iter().flat_map(prefixed).collect()
}

/// The fields of each kind in the order of their declaration, as `name:form`.
const FIELDS: [(&str, &str); 14] = [
    (
        "grant",
        "lot:4 service:hex amount:8 source:text evidence:evidence effective_at:at expires_at:at",
    ),
    (
        "hold",
        "hold:hold service:hex amount:8 slot_start:at allocation:parts extended?:at",
    ),
    ("release", "hold:hold reason:text allocation:parts"),
    ("use", "hold:hold allocation:parts"),
    ("forfeit", "hold:hold reason:text allocation:parts"),
    ("rescheduled", "hold:hold slot_version:4 from:at to:at"),
    ("expire", "lot:4 amount:8"),
    (
        "clawback",
        "cause:cause lot:4 amount:8 held:text allocation:parts holds:helds debt:8 asked?:8",
    ),
    (
        "reinstate",
        "cause:cause clawback:8 lot:4 amount:8 allocation:parts holds:helds debt:8 returned:parts",
    ),
    ("repay", "lot:4 allocation:parts"),
    (
        "transfer",
        "id:hex reason:text from:4 lot:4 amount:8 expired:8 effective_at:at expires_at:at",
    ),
    ("extend", "id:hex reason:text lot:4 amount:8 until:at"),
    (
        "adjust",
        "id:hex service:hex amount:8 actor:hex reason:text lot:4 allocation:parts",
    ),
    (
        "reverse",
        "entry:text seq:8 actor:hex reason:text moves:moves",
    ),
];

/// The fields of nested values.
const FORMS: [(&str, &str); 15] = [
    ("hold", "booking:hex generation:4"),
    ("part", "lot:4 amount:8"),
    ("held", "hold:hold lot:4 amount:8"),
    ("move", "lot:4 from:text to:text amount:8"),
    ("cause", "kind:text id:text"),
    ("manual", "kind:text actor:hex reason:text"),
    (
        "payment",
        "kind:text plan:plan period:period invoice:invoice",
    ),
    ("checkout", "kind:text purchase:purchase checkout:sale"),
    (
        "plan",
        "customer:text livemode:bool subscription:text item:text price:text service:hex credits:8 \
         amount:choice expiry:text",
    ),
    ("period", "start:at end:at"),
    (
        "invoice",
        "id:text status:text customer:text livemode:bool subscription:text reason:text \
         lines:lines paid:money",
    ),
    (
        "line",
        "item:text price:text proration:charged start:at end:at charge?:charge",
    ),
    (
        "purchase",
        "customer:text livemode:bool service:hex credits:8 amount:choice valid_from:at",
    ),
    (
        "sale",
        "id:text is_paid:charged customer:text livemode:bool paid:money charge?:charge",
    ),
    ("charge", "price:money discount:money"),
];

fn write(value: &Value, declared: &str, fields: &mut Vec<Vec<u8>>) {
    for field in declared.split_whitespace() {
        let (name, form) = field.split_once(':').unwrap();
        // A field that is written only if it is there.
        if let Some(name) = name.strip_suffix('?') {
            if let Some(value) = value.get(name) {
                write_as(value, form, fields);
            }
            continue;
        }
        // Twice as much is in the byte if a charge follows.
        if form == "charged" {
            let follows = u8::from(value.get("charge").is_some());
            fields.push(vec![u8::from(value[name].as_bool().unwrap()) + 2 * follows]);
            continue;
        }
        write_as(&value[name], form, fields);
    }
}

fn write_as(value: &Value, form: &str, fields: &mut Vec<Vec<u8>>) {
    let nested = |form: &str| FORMS.iter().find(|(of, _)| *of == form).unwrap().1;
    match form {
        "parts" | "helds" | "moves" | "lines" => {
            let all = value.as_array().unwrap();
            fields.push(u32::try_from(all.len()).unwrap().to_be_bytes().to_vec());
            for one in all {
                write(one, nested(form.strip_suffix('s').unwrap()), fields);
            }
        }
        _ if value.is_null() => fields.push(Vec::new()),
        "4" => fields.push(four(value)),
        "8" => fields.push(eight(value)),
        "hex" => fields.push(hex(value)),
        "text" => fields.push(text(value)),
        "at" => fields.push(instant(value)),
        "bool" => fields.push(vec![u8::from(value.as_bool().unwrap())]),
        "money" => fields.extend([eight(&value["minor"]), text(&value["currency"])]),
        "evidence" => write(value, nested(value["kind"].as_str().unwrap()), fields),
        "choice" => {
            let (name, inner) = value.as_object().unwrap().iter().next().unwrap();
            fields.push(name.as_bytes().to_vec());
            write_as(inner, "money", fields);
        }
        other => write(value, nested(other), fields),
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().as_bytes().to_vec()
}

fn four(value: &Value) -> Vec<u8> {
    u32::try_from(value.as_u64().unwrap())
        .unwrap()
        .to_be_bytes()
        .to_vec()
}

fn eight(value: &Value) -> Vec<u8> {
    value.as_i64().unwrap().to_be_bytes().to_vec()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().replace('-', "");
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn instant(value: &Value) -> Vec<u8> {
    let Some(text) = value.as_str() else {
        return Vec::new();
    };
    let at: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
    at.timestamp_micros().to_be_bytes().to_vec()
}
