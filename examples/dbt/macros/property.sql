{#- A property that Mixpanel sets by itself (`$city`), or that a library sent without its `$`.

    Args:
        name: Without `$`.
        type: `string`, `integer` (a fraction is cut off) or `boolean`. What is none is null.
-#}
{% macro property(name, type='string') -%}
    {%- set text -%}
        coalesce({{ property_text('$' ~ name) }}, {{ property_text(name) }})
    {%- endset -%}
    {%- if type == 'integer' -%}
        {{ whole_number(text) }}
    {%- elif type == 'boolean' -%}
        case lower({{ text }}) when 'true' then true when 'false' then false end
    {%- else -%}
        {{ text }}
    {%- endif -%}
{%- endmacro %}


{#- One property as text; null when the event has none. -#}
{% macro property_text(name) -%}
    {{ return(adapter.dispatch('property_text', 'mixpanel_events')(name)) }}
{%- endmacro %}

{% macro duckdb__property_text(name) -%}
    json_extract_string(properties, '$."{{ name }}"')
{%- endmacro %}

{% macro postgres__property_text(name) -%}
    (cast(properties as jsonb) ->> '{{ name }}')
{%- endmacro %}

{% macro snowflake__property_text(name) -%}
    cast(get({{ 'parse_json(properties)' if var('mixpanel_properties_are_text') else 'properties' }}, '{{ name }}') as varchar)
{%- endmacro %}

{% macro bigquery__property_text(name) -%}
    json_value(properties, '$."{{ name }}"')
{%- endmacro %}


{#- All properties as JSON text. -#}
{% macro all_properties_as_text() -%}
    {{ return(adapter.dispatch('all_properties_as_text', 'mixpanel_events')()) }}
{%- endmacro %}

{% macro default__all_properties_as_text() -%}
    cast(properties as {{ dbt.type_string() }})
{%- endmacro %}

{% macro snowflake__all_properties_as_text() -%}
    {{ 'properties' if var('mixpanel_properties_are_text') else 'to_json(properties)' }}
{%- endmacro %}

{% macro bigquery__all_properties_as_text() -%}
    {{ 'properties' if var('mixpanel_properties_are_text') else 'to_json_string(properties)' }}
{%- endmacro %}


{#- The whole number in a text; null when it is no number. -#}
{% macro whole_number(text) -%}
    {{ return(adapter.dispatch('whole_number', 'mixpanel_events')(text)) }}
{%- endmacro %}

{% macro duckdb__whole_number(text) -%}
    try_cast(trunc(try_cast({{ text }} as double)) as bigint)
{%- endmacro %}

{% macro postgres__whole_number(text) -%}
    case when {{ text }} ~ '^-?[0-9]{1,18}(\.[0-9]*)?$' then cast(trunc(cast({{ text }} as numeric)) as bigint) end
{%- endmacro %}

{% macro snowflake__whole_number(text) -%}
    cast(trunc(try_cast({{ text }} as double)) as bigint)
{%- endmacro %}

{% macro bigquery__whole_number(text) -%}
    safe_cast(trunc(safe_cast({{ text }} as float64)) as int64)
{%- endmacro %}


{#- The instant of an event: a timestamp in UTC, without zone where the warehouse knows such. -#}
{% macro utc_timestamp(column) -%}
    {{ return(adapter.dispatch('utc_timestamp', 'mixpanel_events')(column)) }}
{%- endmacro %}

{% macro default__utc_timestamp(column) -%}
    cast({{ column }} as timestamp)
{%- endmacro %}

{% macro snowflake__utc_timestamp(column) -%}
    cast({{ column }} as timestamp_ntz)
{%- endmacro %}
