"""One more check for schemathesis: a request that fits the description is not refused for what a schema can say.

`positive_data_acceptance` sees statuses only, and 422 is right for what no schema expresses. So this check looks at
the code and the field of the refusal.
"""

import schemathesis

# The body is not of the described form.
NEVER = {"invalid_body", "unknown_field", "malformed_json", "invalid_local_time"}

# Fields whose values no schema can tell apart, with the reason.
NO_SCHEMA_SAYS = {
    "name",  # 200 bytes, and JSON Schema counts characters
    "email",  # 254 bytes
    "amount",  # an adjustment is by some number, and not by 0
    "at_least",  # no more than `dates`
    "client_id",  # not beside therapist_id
    "state",  # not beside which
    "from",  # a date or an instant that is not over
    "expires_at",  # a time to come
    "starts_local",  # of a standing slot: within a week of its first date
    "recurrence_id",  # a wall time that means itself
    "zone",  # a therapist's zone is that of the working times
    "minutes",  # a service keeps its length
    "cancellation.no_show_after_minutes",  # no longer than the service
    "rollover",  # none, if credits never expire
    "plan_id",  # a plan that is not retired
    "paid",  # parts of one currency that make a sum
    "invoice.period_end",  # after its start
}


@schemathesis.check
def refused_for_what_no_schema_says(ctx, response, case):
    if response.status_code != 422 or not case.meta or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    code, field = problem["code"], problem.get("field", "")
    is_currency = field.endswith("currency")  # which ones are in use
    if code in NEVER or code == "invalid_value" and field not in NO_SCHEMA_SAYS and not is_currency:
        raise AssertionError(f"a schema could say it: {problem}")
