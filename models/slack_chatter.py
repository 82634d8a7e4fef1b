"""What is forgotten of Slack: messages and reactions of threads that are no incident."""

import zlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.incident_reading import incident_settings_of

KEPT_HOURS = 24
EMPTIED = zlib.compress(b"{}")
SAYS = "Its words are forgotten: they belong to no incident."

# What still waits to be settled may tell that a thread is an incident after all.
LATE = text("""
    select exists (select from deliveries
                    where source = 'slack' and status in ('received', 'failed')
                      and received_at < now() - interval '1 minute')
""")

ELSEWHERE = text("""
    select distinct m.organization_id, m.channel_key, c.name, c.channel_id
      from slack_messages m join slack_channels c on c.id = m.channel_key
     where m.changed_at >= now() - make_interval(hours => :hours)
""")

FORGET_MESSAGES = text("""
    delete from slack_messages m
     where (m.changed_at < now() - make_interval(hours => :hours)
            or m.channel_key = any(:channels))
       and not exists (select from incidents i where i.id = m.thread_id)
       and not exists (select from jobs j
                        where j.status in ('waiting', 'running')
                          and j.key = 'follow_incident:' || m.id)
       and not exists (select from jobs j
                        where j.status in ('waiting', 'running')
                          and j.key = 'follow_incident:' || m.thread_id)
    returning m.id
""")

FORGET_REACTIONS = text("""
    delete from slack_reactions r
     where (r.changed_at < now() - make_interval(hours => :hours) or r.message_id = any(:gone))
       and not exists (select from slack_messages m where m.id = r.message_id)
       and not exists (select from jobs j
                        where j.status in ('waiting', 'running')
                          and j.key = 'follow_incident:' || r.message_id)
    returning r.id
""")

# A delivery may tell of several things; it is emptied when the last of them is forgotten.
EMPTY = text("""
    update deliveries d
       set body = :emptied, decisions = d.decisions || jsonb_build_array(
               jsonb_build_object('note', cast(:says as text)))
      from (select distinct f.id
              from unnest(cast(:gone as text[])) as gone(id)
              join deliveries f on f.source = 'slack'
               and f.decisions @> jsonb_build_array(jsonb_build_object('id', gone.id))) told
     where d.id = told.id and d.body <> :emptied
       and not exists (
           select from jsonb_array_elements(d.decisions) as each(said)
            where (said ->> 'remember' = 'slack_messages'
                   and exists (select from slack_messages m where m.id = said ->> 'id'))
               or (said ->> 'remember' = 'slack_reactions'
                   and exists (select from slack_reactions r where r.id = said ->> 'id')))
""")


async def forget_chatter(db: AsyncConnection) -> int:
    """Delete what Slack told of threads that are no incident; return how many rows.

    After a day, and at once in channels whose names are known and fit no pattern. The deliveries
    that told nothing else keep an empty body. What is about to be judged is left alone.
    """
    if await db.scalar(LATE):
        return 0
    bound = {"hours": KEPT_HOURS, "channels": await other_channels(db)}
    messages = [str(each) for each in (await db.scalars(FORGET_MESSAGES, bound)).all()]
    told = {"hours": KEPT_HOURS, "gone": messages}
    reactions = [str(each) for each in (await db.scalars(FORGET_REACTIONS, told)).all()]
    gone = messages + reactions
    if gone:
        await db.execute(EMPTY, {"gone": gone, "emptied": EMPTIED, "says": SAYS})
    return len(gone)


async def other_channels(db: AsyncConnection) -> list[str]:
    """Return the channels with messages of the last day whose names fit no pattern."""
    rows = (await db.execute(ELSEWHERE, {"hours": KEPT_HOURS})).all()
    readings = {
        organization_id: await incident_settings_of(db, organization_id)
        for organization_id in sorted({row.organization_id for row in rows})
    }
    return [
        row.channel_key
        for row in rows
        if not readings[row.organization_id].reads(row.name, row.channel_id)
    ]
