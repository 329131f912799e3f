DROP TABLE economic_data.economic_data;
