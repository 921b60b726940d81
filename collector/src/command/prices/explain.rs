//! `prices explain`: the arithmetic of a bill, line by line, for a person with a calculator.

mod stored;

use std::path::Path;

use clap::Args;
use ledgerline_pricing::{Explanation, PriceBook};
use ledgerline_proto::{
    Billing, Call, Condition, Conditions, Cost, EndOfStream, Identity, Operation, Quantities, SpanId,
    TraceId, Unit, Usage, UsageSource,
};
use ledgerline_store::spans::unpriced_reason;

use serde_json::json;

use super::table::aligned;
use super::{Asked, PricesError, pretty};
use crate::calls::bill::{BillBody, arithmetic};

/// A stored call, or one that might be made: `explain --provider openai --model gpt-4.1 --unit input_uncached=1000 --unit output_text=100`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A stored call: its trace, or its trace and span, as hexadecimal
    #[arg(value_name = "TRACE_ID[/SPAN_ID]", conflicts_with_all = ["provider", "model", "units", "conditions", "month_tokens", "at"])]
    call: Option<stored::Address>,
    /// Whose model it is, in OpenTelemetry's words: openai, azure.ai.openai, aws.bedrock
    #[arg(long, required_unless_present = "call", default_value = "", hide_default_value = true)]
    provider: String,
    /// The model that answers, under any of its names
    #[arg(long, required_unless_present = "call", default_value = "", hide_default_value = true)]
    model: String,
    /// What it uses, for instance input_uncached=1000; once for each unit
    #[arg(long = "unit", value_name = "UNIT=QUANTITY", value_parser = quantity)]
    units: Vec<(Unit, u64)>,
    /// How it is served, for instance service_tier=flex; once for each condition
    #[arg(long = "condition", value_name = "CONDITION=WORD", value_parser = condition)]
    conditions: Vec<(Condition, String)>,
    /// Tokens of the model used in the month so far
    #[arg(long, default_value_t = 0)]
    month_tokens: u64,
    #[command(flatten)]
    asked: Asked,
}

fn quantity(text: &str) -> Result<(Unit, u64), String> {
    let (unit, quantity) =
        text.split_once('=').ok_or("write UNIT=QUANTITY, for instance input_uncached=1000")?;
    let known = || Unit::ALL.map(Unit::name).join(", ");
    let unit = Unit::from_name(unit).ok_or_else(|| format!("`{unit}` is no unit; one of {}", known()))?;
    Ok((unit, quantity.parse().map_err(|_| format!("`{quantity}` is no whole number"))?))
}

fn condition(text: &str) -> Result<(Condition, String), String> {
    let (name, word) = text.split_once('=').ok_or("write CONDITION=WORD, for instance service_tier=flex")?;
    let known = || Condition::ALL.map(Condition::name).join(", ");
    let condition = Condition::from_name(name);
    Ok((condition.ok_or_else(|| format!("`{name}` is no condition; one of {}", known()))?, word.to_owned()))
}

impl Explain {
    /// A stored call is read from the store of the configuration and priced with the book of its owner.
    pub(super) fn text(
        &self,
        config: &Path,
        book: &PriceBook,
        now_unix_ns: u64,
    ) -> Result<String, PricesError> {
        if let Some(address) = &self.call {
            return stored::text(config, address, &self.asked);
        }
        let Some(call) = self.call(self.asked.at_unix_ns(now_unix_ns)?) else { return Ok(String::new()) };
        let explanation = self.asked.of(book).explain_after(&call, self.month_tokens);
        Ok(if self.asked.json {
            pretty(&json!(BillBody::of(&explanation, &unpriced_reason(explanation.bill.cost))))
        } else {
            text_of(&self.provider, &explanation, &unpriced_reason(explanation.bill.cost))
        })
    }

    /// `None` never: the ids are not all zero.
    fn call(&self, at_unix_ns: u64) -> Option<Call> {
        let words = self.conditions.iter().map(|(condition, word)| (*condition, word.as_str()));
        Some(Call {
            trace_id: TraceId::from_bytes([1; 16])?,
            span_id: SpanId::from_bytes([1; 8])?,
            parent_span_id: None,
            start_unix_ns: at_unix_ns,
            end_unix_ns: at_unix_ns,
            time_to_first_token_ns: None,
            operation: Operation::Chat,
            provider: self.provider.clone(),
            request_model: self.model.clone(),
            response_model: self.model.clone(),
            response_id: String::new(),
            stream: false,
            finish_reasons: Vec::new(),
            end: EndOfStream::Complete,
            error_type: None,
            http_status: Some(200),
            usage: Some(Usage::of(Quantities::from_pairs(&self.units), UsageSource::Provider)),
            usage_object: String::new(),
            billing: Billing { conditions: Conditions::from_pairs(words), ..Billing::default() },
            identity: Identity::default(),
            unread: None,
        })
    }
}

/// A line for each line of the bill, then the sum, or why there is none.
fn text_of(provider: &str, explanation: &Explanation, unpriced_reason: &str) -> String {
    let Explanation { bill, lines } = explanation;
    let mut rows = Vec::new();
    for (place, line) in bill.lines.iter().enumerate() {
        let (amount, rule) = match &line.price {
            Some(price) => (price.amount.to_string(), format!("by {}", price.rule)),
            None => ("-".to_owned(), String::new()),
        };
        let what = if line.model == bill.model { String::new() } else { format!("{} ", line.model) };
        rows.push([
            format!("  {what}{}", line.unit.name()),
            arithmetic(line, lines.get(place)),
            amount,
            rule,
        ]);
    }
    let (result, note) = match bill.cost {
        Cost::Known(amount) => (amount.to_string(), "USD".to_owned()),
        Cost::NotBilled(reason) => ("0".to_owned(), format!("not billed: {}", reason.name())),
        Cost::Unpriced(_) => ("-".to_owned(), format!("unpriced: {unpriced_reason}")),
    };
    rows.push(["  total".to_owned(), String::new(), result, note]);
    format!("{provider}/{}\n{}", bill.model, aligned(&rows))
}
