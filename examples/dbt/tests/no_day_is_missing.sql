-- Days without any event between the first and the last day that has some. A small project may have
-- such days: then give this test `severity: warn`.
with days as (
    select distinct cast(time as date) as event_day
    from {{ ref('event') }}
),

neighbours as (
    select event_day, lag(event_day) over (order by event_day) as day_before
    from days
)

select day_before, event_day
from neighbours
where {{ dbt.datediff('day_before', 'event_day', 'day') }} > 1
