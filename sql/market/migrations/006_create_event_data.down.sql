DROP TABLE events.event_data;
